/**
 * The limits of the validation rules, in the units of the data; docs/job-types/data-validation.md lists them
 * with their reasons. `error`: the value cannot be right. `warning`: somebody should look.
 */
export const thresholds = {
  /** Per producing day of one well. */
  oilBblPerDay: { warning: 10_000, error: 50_000 },
  gasMcfPerDay: { warning: 100_000, error: 500_000 },
  waterBblPerDay: { warning: 50_000, error: 250_000 },
  pressurePsi: { min: 0, warning: 10_000, error: 20_000 },
  temperatureF: { min: -60, warningBelow: 32, warning: 350, error: 500 },
  /** Cubic feet a barrel. Texas, 16 TAC 3.49: an oil well that makes more needs an exception. */
  gorOilWell: 2_000,
  /** Cubic feet a barrel. Texas, 16 TAC 3.79: a well that makes as much is a gas well. */
  gorGasWell: 100_000,
  waterCutPercent: { warning: 95, error: 99.9 },
  /** Of the days in the period; `performance` only. */
  uptimeFraction: 0.9,
  history: {
    /** Against the trend, or the last row where there are fewer than `trendRows`. */
    below: 0.5,
    above: 2,
    trendRows: 4,
    /** Modified z-score (Iglewicz and Hoaglin, 1993), from so many rows on. */
    outlierScore: 3.5,
    outlierRows: 5,
  },
  /** Of a sum of decimal interests from 1; they are kept with eight places. */
  ownershipSum: 0.000_001,
  /** Of an amount from what it should be, in currency units. */
  revenueAmount: 0.01,
  /** Days since the last inspection. */
  inspectionDays: 365,
  /** Cubic feet of gas that count as a barrel of oil, in thousands. */
  mcfPerBoe: 6,
} as const;
