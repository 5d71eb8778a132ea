/** What openapi-typescript says of an operation. */
export interface Operation {
  readonly parameters: { query?: unknown; path?: unknown };
  readonly requestBody?: unknown;
  readonly responses: object;
}

type Given<Name extends string, T> = [T] extends [undefined]
  ? { readonly [Key in Name]?: undefined }
  : undefined extends T
    ? { readonly [Key in Name]?: T }
    : object extends T
      ? { readonly [Key in Name]?: T }
      : { readonly [Key in Name]: T };

type JsonIn<T> = T extends { content: { "application/json": infer Body } } ? Body : undefined;

/** The body that an operation takes. */
export type BodyOf<O extends Operation> = O extends { requestBody?: infer R }
  ? JsonIn<Exclude<R, undefined>> | Extract<R, undefined>
  : undefined;

/** The parameters in the address's search. */
export type QueryOf<O extends Operation> = Exclude<O["parameters"]["query"], undefined>;

/** What an operation is given. */
export type ParamsOf<O extends Operation> = Given<"path", O["parameters"]["path"]> &
  Given<"query", O["parameters"]["query"]> &
  Given<"body", BodyOf<O>>;

/** The JSON that an operation answers with. */
export type AnswerOf<O extends Operation> = O["responses"][keyof O["responses"]] extends infer R
  ? JsonIn<R>
  : never;
