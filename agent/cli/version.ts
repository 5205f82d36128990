/** Put in by the build; absent when the sources run as they are. */
declare const TRIVET_VERSION: string | undefined;

export const VERSION: string = typeof TRIVET_VERSION === "string" ? TRIVET_VERSION : "0.0.0-source";
