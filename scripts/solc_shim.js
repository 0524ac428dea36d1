#!/usr/bin/env node
// npm's `solc` (the compiler as WebAssembly) behind the part of native solc's command line that py-solc-x and forge
// speak:
//
//   solc_shim.js --version
//   solc_shim.js --standard-json [--base-path DIR] [--include-path DIR] [--allow-paths DIRS]  < input.json > output.json
//
// Standard output carries the answer and nothing else, because the caller parses it.
"use strict";

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const NODE_MODULES = path.join(__dirname, "..", ".tools", "node_modules");

function loadCompiler() {
  return createRequire(path.join(NODE_MODULES, "index.js"))("solc");
}

function writeAll(text) {
  const bytes = Buffer.from(text, "utf8");
  let offset = 0;
  // A pipe takes less than it is given, and a full non-blocking one refuses with EAGAIN.
  while (offset < bytes.length) {
    try {
      offset += fs.writeSync(1, bytes, offset);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function fail(message) {
  fs.writeSync(2, `solc_shim: ${message}\n`);
  process.exit(1);
}

function parseArguments(argv) {
  const options = { mode: undefined, roots: [] };
  for (let i = 0; i < argv.length; i += 1) {
    const flag = argv[i];
    if (flag === "--version" || flag === "--standard-json") {
      options.mode = flag;
    } else if (flag === "--base-path" || flag === "--include-path") {
      i += 1;
      if (argv[i] === undefined) fail(`${flag} needs a value`);
      options.roots.push(argv[i]);
    } else if (flag === "--allow-paths") {
      // Imports are served from the roots only, which is narrower than anything that a caller allows.
      i += 1;
    } else {
      fail(`unknown option ${flag}`);
    }
  }
  return options;
}

/** Serves an import like native solc: the base path first, then each include path, never outside of them. */
function importsFrom(roots) {
  return (name) => {
    for (const root of roots) {
      const file = path.resolve(root, name);
      if (!file.startsWith(path.resolve(root) + path.sep)) continue;
      if (fs.existsSync(file)) return { contents: fs.readFileSync(file, "utf8") };
    }
    return { error: `File not found: ${name}` };
  };
}

const options = parseArguments(process.argv.slice(2));
const solc = loadCompiler();
if (options.mode === "--version") {
  writeAll(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (options.mode === "--standard-json") {
  writeAll(solc.compile(fs.readFileSync(0, "utf8"), { import: importsFrom(options.roots) }));
} else {
  fail("give --version or --standard-json");
}
