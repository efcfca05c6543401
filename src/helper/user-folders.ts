import { homedir } from 'node:os';
import { join } from 'node:path';

/** The user's folder for what the helper must remember: linked origins and keys. */
export function configFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  if (env['AUTOGLM_CONFIG']) return env['AUTOGLM_CONFIG'];
  if (platform === 'win32') return join(env['APPDATA'] ?? join(homedir(), 'AppData', 'Roaming'), 'autoglm');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'autoglm');
  return join(env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'autoglm');
}

/** The user's folder for what can be had again: models. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  if (env['AUTOGLM_CACHE']) return env['AUTOGLM_CACHE'];
  if (platform === 'win32') {
    return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'autoglm', 'cache');
  }
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'autoglm');
  return join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'autoglm');
}

/** Where the weights of models at URLs are kept. */
export function modelCacheFolder(): string {
  return join(cacheFolder(), 'weights');
}
