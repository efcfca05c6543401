import react from '@vitejs/plugin-react';
import shared from '../vite.shared.js';

export default { ...shared, plugins: [react()] };
