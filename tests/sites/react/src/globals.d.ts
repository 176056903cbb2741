/** Which edition this build is: `first edition` or `second edition`. Put in by vite.config.ts. */
declare const EDITION: string
