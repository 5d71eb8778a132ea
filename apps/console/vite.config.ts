import { defaultClientConditions, defineConfig } from "vite";

export default defineConfig({
  base: "/console/",
  resolve: { conditions: ["@jobyard/source", ...defaultClientConditions] },
  build: {
    target: "es2024",
    // Every browser that runs the rest knows it.
    modulePreload: { polyfill: false },
    // No `data:` addresses, which the page's policy forbids.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": "http://localhost:3001" } },
});
