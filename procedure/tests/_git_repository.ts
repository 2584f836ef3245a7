// Copyright 2026 the Longrun authors. MIT license.

import { dirname, join } from "node:path";

const ENV = {
  GIT_AUTHOR_EMAIL: "author@example.org",
  GIT_AUTHOR_NAME: "Author",
  GIT_COMMITTER_EMAIL: "author@example.org",
  GIT_COMMITTER_NAME: "Author",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
};

/** A folder that is removed in the end. */
export class TemporaryFolder implements AsyncDisposable {
  readonly path: string;

  constructor() {
    this.path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "longrun-" }));
  }

  at(...names: string[]): string {
    return join(this.path, ...names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** The files of a commit: their text, or where they link to. */
export type Files = Record<string, string | { readonly link: string }>;

/** A repository of this machine, with its files beside it. */
export class GitRepository {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(
    path: string,
    branch = "trunk",
    format = "sha1",
  ): Promise<GitRepository> {
    await Deno.mkdir(path, { recursive: true });
    const repository = new GitRepository(path);
    const how = [`--initial-branch=${branch}`, `--object-format=${format}`];
    await repository.git("init", "--quiet", "--template=", ...how);
    return repository;
  }

  get url(): string {
    return `file://${this.path}`;
  }

  async git(...args: string[]): Promise<string> {
    const command = new Deno.Command("git", {
      args,
      cwd: this.path,
      env: ENV,
      stderr: "piped",
    });
    const { success, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    if (!success) throw new Error(decoder.decode(stderr));
    return decoder.decode(stdout).trim();
  }

  /** Commits these files, and tells the hash. */
  async commit(files: Files): Promise<string> {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.path, name);
      await Deno.mkdir(dirname(path), { recursive: true });
      if (typeof content === "string") await Deno.writeTextFile(path, content);
      else await Deno.symlink(content.link, path);
    }
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "--message=A commit");
    return await this.git("rev-parse", "HEAD");
  }

  /** Makes a branch, commits these files to it, and goes back. */
  async branch(name: string, files: Files): Promise<string> {
    const before = await this.git("symbolic-ref", "--short", "HEAD");
    await this.git("checkout", "--quiet", "-b", name);
    const commit = await this.commit(files);
    await this.git("checkout", "--quiet", before);
    return commit;
  }
}
