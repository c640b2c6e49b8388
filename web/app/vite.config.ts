import { defineConfig } from "vite";

const demo = "http://127.0.0.1:8080"; // what `npm run dev` asks: a running `waypost demo`

// What is built stands in ../page, committed, so that a checkout needs Go alone. Names without hashes and code that is
// not minified keep its changes small and readable; the server's ETag makes browsers ask again.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../page",
    emptyOutDir: true,
    target: "es2023",
    cssTarget: "chrome123",
    minify: false,
    cssMinify: false,
    modulePreload: false,
    rolldownOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "style[extname]", codeSplitting: false },
    },
  },
  server: {
    proxy: { "/graphql": { target: demo, ws: true }, "/demo": demo, "/demo.json": demo, "/playground": demo },
  },
});
