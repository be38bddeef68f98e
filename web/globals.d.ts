// WebGPU's constants, which TypeScript's own DOM types leave out.

declare const GPUBufferUsage: {
  readonly MAP_READ: number;
  readonly COPY_SRC: number;
  readonly COPY_DST: number;
  readonly UNIFORM: number;
  readonly STORAGE: number;
  readonly QUERY_RESOLVE: number;
};
declare const GPUMapMode: { readonly READ: number };
declare const GPUShaderStage: { readonly COMPUTE: number };

// @huggingface/tokenizers, which the gallery's site has among its assets.
declare module "*/assets/tokenizers.mjs" {
  export class Tokenizer {
    constructor(tokenizer: unknown, config: unknown);
    encode(text: string): { ids: number[] };
  }
}
