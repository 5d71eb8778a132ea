import { exit } from "node:process";

export default function run(): never {
  exit(3);
}
