import { Big } from "big.js";

/** Exact but for divisions, which are cut after 20 places; halves are rounded away from zero. */
export const Decimal = Big();
Decimal.DP = 20;
Decimal.RM = Big.roundHalfUp;

export type Amount = Big;

export const zero: Amount = new Decimal(0);

/** `percent` hundredths of the amount. */
export function share(amount: Amount, percent: Amount): Amount {
  return amount.times(percent).times("0.01");
}

export function sumOf(amounts: Iterable<Amount>): Amount {
  let sum = zero;
  for (const amount of amounts) sum = sum.plus(amount);
  return sum;
}

/** A length, area or volume, mm; what lies below a thousandth is noise of the measurement. */
export function measured(value: number): Amount {
  return new Decimal(value).round(3);
}

/** Places of a currency's amounts: 2 of most, 0 of JPY. */
export function placesOf(currency: string): number {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.resolvedOptions().maximumFractionDigits ?? 2;
}
