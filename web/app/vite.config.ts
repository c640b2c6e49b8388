import { defineConfig } from "vite";

const demo = "http://127.0.0.1:8080"; // the server for `npm run dev`: a running `waypost demo`

// The build in ../page is committed, so that a checkout needs only Go. Names without hashes and unminified code keep its
// changes small and readable. The server's ETag makes browsers check for changes.
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
    license: { fileName: "licenses.md" }, // of the libraries in app.js
    rolldownOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "style[extname]", codeSplitting: false },
    },
  },
  server: {
    proxy: { "/graphql": { target: demo, ws: true }, "/demo": demo, "/demo.json": demo, "/playground": demo },
  },
});
