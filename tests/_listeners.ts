// Copyright 2026 the Longrun authors. MIT license.

/** A controller whose signal counts the abort listeners it has. */
export class CountingController extends AbortController {
  listeners = 0;
  /** The most listeners it had at a time. */
  most = 0;

  constructor() {
    super();
    const { signal } = this;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: unknown[]): void => {
      this.listeners++;
      this.most = Math.max(this.most, this.listeners);
      (add as (...args: unknown[]) => void)(...args);
    };
    signal.removeEventListener = (...args: unknown[]): void => {
      this.listeners--;
      (remove as (...args: unknown[]) => void)(...args);
    };
  }
}
