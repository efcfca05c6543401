import { svelte } from '@sveltejs/vite-plugin-svelte';
import shared from '../vite.shared.js';

export default { ...shared, plugins: [svelte()] };
