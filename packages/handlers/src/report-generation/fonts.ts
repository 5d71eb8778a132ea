import { createRequire } from "node:module";

const { resolve } = createRequire(import.meta.url);
const folder = "@expo-google-fonts/noto-sans";

/** Noto Sans: Latin, Greek and Cyrillic, with a free licence (OFL). */
export const fontFiles = {
  regular: resolve(`${folder}/400Regular/NotoSans_400Regular.ttf`),
  bold: resolve(`${folder}/700Bold/NotoSans_700Bold.ttf`),
};
