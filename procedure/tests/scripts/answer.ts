// Copyright 2026 the Longrun authors. MIT license.

export const ANSWER = 42;
