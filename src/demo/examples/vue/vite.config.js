import vue from '@vitejs/plugin-vue';
import shared from '../vite.shared.js';

const isCustomElement = (tag) => tag.startsWith('autoglm-');

export default { ...shared, plugins: [vue({ template: { compilerOptions: { isCustomElement } } })] };
