/** What a file may demand. A file over one of these is refused with a message that says which. */
export const limits = {
  /** Of a file as it is stored, bytes. */
  fileBytes: 20e9,
  /** Of a compressed file's content, bytes. */
  inflatedBytes: 10e9,
  /** How many times larger than the file the content may be, past the first `inflatedFree` bytes. */
  inflationRatio: 200,
  inflatedFree: 100e6,
  columns: 2048,
  /** Of a row as it is written, bytes. */
  rowBytes: 4_000_000,
  columnNameCharacters: 256,
  rows: 2_000_000_000,
  /** Of the rejected rows, how many are told with their lines. */
  rejectsKept: 1_000_000,
  /** Of a JSON value. */
  jsonDepth: 100,
  /** Parts of an archive. */
  archiveEntries: 10_000,
} as const;
