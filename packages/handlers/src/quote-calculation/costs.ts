import { HandlerError } from "@jobyard/core";
import type { GeometryRecord } from "../geometry-record.ts";
import type { Catalogue, Finish, Material, ProcessName } from "./catalogue.ts";
import { type Amount, Decimal, measured, share, sumOf, zero } from "./money.ts";

type Processes = Catalogue["processes"];

/** What making one item takes, in the catalogue's currency; nothing is rounded yet. */
export interface ItemCosts {
  /** Once, for any number of pieces. */
  readonly setup: Costs;
  readonly piece: Costs;
  /** Of one piece. */
  readonly machineHours: Amount;
  /** Of one piece's material, kg. */
  readonly mass: Amount;
  readonly marginPercent: Amount;
  /** Working days for that many pieces, not rushed. */
  leadDays(quantity: number): number;
}

export interface Costs {
  readonly material: Amount;
  /** Finishes included. */
  readonly labor: Amount;
  /** Machine time included. */
  readonly overhead: Amount;
}

export interface ItemRequest {
  /** Where it is in the data, for messages. */
  readonly place: string;
  readonly geometry: GeometryRecord;
  readonly material: Material;
  readonly process: ProcessName;
  readonly finishes: readonly Finish[];
}

/** mm³ of 1 g/cm³ in 1 kg. */
const MM3_PER_KG = 1_000_000;

/** @throws HandlerError when the process cannot make the part */
export function costsOf(request: ItemRequest, processes: Processes): ItemCosts {
  const { place, geometry, material, process, finishes } = request;
  const rates = processes[process];
  if (rates === undefined) throw itemFault(place, `the catalogue has no process ${process}`);
  const sides = sidesOf(geometry);
  sides.forEach((side, i) => {
    const most = rates.maxSize[i] ?? zero;
    if (side.gt(most)) {
      const sizes = (values: readonly Amount[]) => values.map(String).join(" x ");
      throw itemFault(
        place,
        `${geometry.fileName} measures ${sizes(sides)} mm, and ${process} takes parts of up to ${sizes(rates.maxSize)} mm`,
      );
    }
  });
  const { stock, machineHours: plainHours } = workOf(request, processes, sides);
  const complexity = share(new Decimal(geometry.complexity), rates.complexityPercent);
  const machineHours = plainHours.plus(share(plainHours, complexity));
  const mass = stock.times(material.density).div(MM3_PER_KG);
  const pieceMaterial = mass.times(material.pricePerKg);
  // cm²
  const surface = measured(geometry.surfaceArea).times("0.01");
  const finishing = sumOf(
    finishes.map(({ pricePerPart, pricePerCm2 }) => pricePerPart.plus(pricePerCm2.times(surface))),
  );
  const pieceLabor = rates.handlingHours.times(rates.laborRatePerHour).plus(finishing);
  const machine = machineHours.times(rates.machineRatePerHour);
  const setupLabor = rates.setupHours.times(rates.laborRatePerHour);
  const finishDays = finishes.reduce((sum, { leadDays }) => sum + leadDays, 0);
  return {
    setup: {
      material: zero,
      labor: setupLabor,
      overhead: share(setupLabor, rates.overheadPercent),
    },
    piece: {
      material: pieceMaterial,
      labor: pieceLabor,
      overhead: machine.plus(
        share(pieceMaterial.plus(pieceLabor).plus(machine), rates.overheadPercent),
      ),
    },
    machineHours,
    mass,
    marginPercent: rates.marginPercent,
    leadDays: (quantity) =>
      rates.leadDays +
      finishDays +
      Number(
        machineHours
          .times(quantity)
          .div(rates.machineHoursPerDay)
          .round(0, Decimal.roundUp)
          .toString(),
      ),
  };
}

/** Longest first, mm. */
function sidesOf({ boundingBox: { min, max } }: GeometryRecord): Amount[] {
  return [max.x - min.x, max.y - min.y, max.z - min.z]
    .map(measured)
    .sort((one, other) => other.cmp(one));
}

/** Material that goes in, mm³, and hours of the machine, for one piece. */
function workOf(
  { place, geometry, material, process }: ItemRequest,
  processes: Processes,
  sides: readonly Amount[],
): { readonly stock: Amount; readonly machineHours: Amount } {
  if (geometry.volume === null) {
    throw itemFault(
      place,
      `${geometry.fileName} has no volume, as its surface is not closed; it must be mended first`,
    );
  }
  const volume = measured(geometry.volume);
  const [length = zero, width = zero, height = zero] = sides;
  switch (process) {
    case "FFF":
    case "SLA": {
      const rates = required(processes[process]);
      const supports = share(measured(geometry.supportVolume ?? 0), rates.supportPercent);
      const printed = volume.plus(supports);
      return {
        stock: printed.plus(share(printed, rates.wastePercent)),
        machineHours: printed.div(rates.depositionRate),
      };
    }
    case "CNC_3AXIS": {
      const rates = required(processes.CNC_3AXIS);
      const allowance = rates.stockAllowance.times(2);
      const block = length
        .plus(allowance)
        .times(width.plus(allowance))
        .times(height.plus(allowance));
      const roughing = block.minus(volume).div(rates.removalRate);
      const finishing = measured(geometry.surfaceArea).div(rates.finishingRate);
      return { stock: block, machineHours: roughing.plus(finishing).div(material.machinability) };
    }
    case "LASER_2D": {
      const rates = required(processes.LASER_2D);
      if (height.eq(0)) throw itemFault(place, `${geometry.fileName} is flat: it has no thickness`);
      const margin = rates.sheetMargin.times(2);
      const blank = length.plus(margin).times(width.plus(margin)).times(height);
      // Of a plate, what is neither top nor bottom was cut.
      const cut = measured(geometry.surfaceArea).minus(volume.times(2).div(height)).div(height);
      const around = length.plus(width).times(2);
      const path = cut.gt(around) ? cut : around;
      return {
        stock: blank,
        machineHours: path.times(height).div(rates.cutRate).div(material.machinability),
      };
    }
  }
}

function required<Rates>(rates: Rates | undefined): Rates {
  if (rates === undefined) throw new Error("The process was looked up before");
  return rates;
}

export function itemFault(place: string, message: string): HandlerError {
  return new HandlerError("INVALID_DATA", `${place}: ${message}`, {
    dataFault: true,
    stage: "pricing",
  });
}
