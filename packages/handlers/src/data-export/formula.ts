/** Signs that begin a formula, also in their full-width forms, behind blanks that an import may drop. */
const FORMULA = /^[\s\uFEFF\u200B]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/;
/** Read as a number, not as a formula. */
const NUMBER = /^[+-]?(?:\d{1,30}(?:[.,]\d{1,30})?|[.,]\d{1,30})(?:[eE][+-]?\d{1,3})?%?$/;

/** Whether a spreadsheet that opens this text in a cell may run it. */
export function isFormula(text: string): boolean {
  return FORMULA.test(text) && !NUMBER.test(text);
}

/** The text made inert for a CSV: an apostrophe before it says that it is text. */
export function neutralised(text: string): string {
  return isFormula(text) ? `'${text}` : text;
}
