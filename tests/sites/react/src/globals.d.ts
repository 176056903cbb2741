/** The edition of this build, `first edition` or `second edition`. Defined in vite.config.ts. */
declare const EDITION: string
