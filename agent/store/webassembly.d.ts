/** The part of the WebAssembly JavaScript interface used here; neither `es2023` nor `@types/node` declares it. */
declare namespace WebAssembly {
  class Memory {
    readonly buffer: ArrayBuffer;
    /** By 64 KiB pages; throws if that cannot be. */
    grow(pages: number): number;
  }
  class Module {}
  class Instance {
    constructor(module: Module, imports?: object);
    readonly exports: Readonly<Record<string, unknown>>;
  }
}
