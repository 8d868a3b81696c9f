// What the libraries under Backstage's reader make of texts and patterns: JSON in on stdin, JSON out on stdout.
const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const backstage = createRequire(require.resolve('@backstage/plugin-catalog-backend'));
const yaml = createRequire(require.resolve('@backstage/plugin-catalog-node'))('yaml');
const { globSync } = backstage('glob');

const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
const parsed = text =>
  yaml
    .parseAllDocuments(text, { merge: false })
    .filter(document => document)
    .map(document => {
      try {
        return document.errors.length ? { fault: true } : { value: document.toJSON() };
      } catch {
        return { fault: true };
      }
    });
const matched = pattern =>
  globSync(path.join(asked.root, pattern), { windowsPathsNoEscape: true })
    .filter(file => fs.statSync(file).isFile())
    .map(file => path.relative(asked.root, file));
process.stdout.write(JSON.stringify({ texts: asked.texts.map(parsed), globs: asked.globs.map(matched) }));
