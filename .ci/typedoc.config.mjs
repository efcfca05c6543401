import { OptionDefaults } from 'typedoc';

/** The API's documentation; a public name without a comment fails the build. */
export default {
  out: '../dist/docs',
  name: 'autoglm-web',
  readme: 'none',
  disableSources: true,
  disableGit: true,
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  logLevel: 'Warn',
  // Tags of the custom elements' manifest.
  blockTags: [...OptionDefaults.blockTags, '@slot', '@csspart', '@cssproperty', '@cssState', '@attr'],
  validation: { notDocumented: true, notExported: false, invalidLink: true },
  requiredToBeDocumented: ['Class', 'Interface', 'Function', 'TypeAlias', 'Variable', 'Method', 'Accessor'],
  treatValidationWarningsAsErrors: true,
};
