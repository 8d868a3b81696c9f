// The real catalog backend, with nothing of ours but one thing that Backstage leaves to web locations: a relative
// placeholder ($text: ./x) in a file location. Backstage's own resolvers fill it, from a file: address.
const fs = require('node:fs/promises');
const path = require('node:path');
const { fileURLToPath, pathToFileURL } = require('node:url');
const { createBackend } = require('@backstage/backend-defaults');
const { createBackendModule } = require('@backstage/backend-plugin-api');
const { catalogProcessingExtensionPoint } = require('@backstage/plugin-catalog-node');

const catalog = require.resolve('@backstage/plugin-catalog-backend');
const resolvers = require(path.join(path.dirname(catalog), 'processors', 'PlaceholderProcessor.cjs.js'));

const besideTheFile = resolver => params =>
  path.isAbsolute(params.baseUrl)
    ? resolver({
        ...params,
        baseUrl: pathToFileURL(params.baseUrl).href,
        resolveUrl: (url, base) => new URL(url, base).href,
        read: url => fs.readFile(fileURLToPath(url)),
      })
    : resolver(params);

const backend = createBackend();
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(
  createBackendModule({
    pluginId: 'catalog',
    moduleId: 'file-placeholders',
    register(env) {
      env.registerInit({
        deps: { processing: catalogProcessingExtensionPoint },
        async init({ processing }) {
          processing.addPlaceholderResolver('text', besideTheFile(resolvers.textPlaceholderResolver));
          processing.addPlaceholderResolver('json', besideTheFile(resolvers.jsonPlaceholderResolver));
          processing.addPlaceholderResolver('yaml', besideTheFile(resolvers.yamlPlaceholderResolver));
        },
      });
    },
  }),
);
backend.start();
