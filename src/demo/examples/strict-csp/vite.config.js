import shared from '../vite.shared.js';

// Vite puts its own preload script's styles inline; this page allows neither.
export default { ...shared, build: { ...shared.build, modulePreload: false } };
