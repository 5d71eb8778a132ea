/** The part of occt-import-js that is used; it has no declarations of its own. */
declare module "occt-import-js" {
  export interface StepModel {
    readonly success: boolean;
    readonly meshes?: readonly {
      readonly name?: string;
      readonly attributes: { readonly position: { readonly array: readonly number[] } };
      readonly index: { readonly array: readonly number[] };
    }[];
  }

  interface OpenCascade {
    ReadStepFile(
      content: Uint8Array,
      options: {
        readonly linearUnit: "millimeter";
        readonly linearDeflectionType: "bounding_box_ratio";
        readonly linearDeflection: number;
        readonly angularDeflection: number;
      },
    ): StepModel;
  }

  function open(options: {
    readonly print: () => void;
    readonly printErr: () => void;
  }): Promise<OpenCascade>;
  export default open;
}
