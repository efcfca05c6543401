/** Reads which file imports which below one folder, with the TypeScript parser, so that nothing is guessed. */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import ts from 'typescript';

/**
 * @typedef {object} Import
 * @property {string} specifier as written.
 * @property {number} line from 1.
 * @property {boolean} typeOnly erased by the compiler: `import type`, or every name marked `type`.
 * @property {string} [target] the imported file, from the root with `/`; absent for a package or a Node module.
 * @property {boolean} missing a relative or `#shaders/` path that names no file.
 *
 * @typedef {object} Module
 * @property {string} path from the root, with `/`.
 * @property {Import[]} imports
 */

/**
 * @param {string} root the folder that holds `src` and `shaders`.
 * @returns {Module[]} every TypeScript file and page below `src`, by path.
 */
export function readModules(root) {
  return listFiles(root, 'src')
    .filter((path) => /\.(?:m?ts|html)$/.test(path))
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      const found = path.endsWith('.html') ? scanPage(text) : scanScript(path, text);
      return { path, imports: found.map((one) => ({ ...one, ...resolve(root, path, one.specifier) })) };
    });
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {string[]} all files below `folder`, from the root with `/`, sorted; empty when it does not exist.
 */
export function listFiles(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => posix.join(folder, path.split(sep).join('/')))
    .filter((path) => statSync(join(root, path)).isFile())
    .toSorted();
}

/** @typedef {Pick<Import, 'specifier' | 'line' | 'typeOnly'>} Found */

/** @param {string} path @param {string} text @returns {Found[]} */
function scanScript(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  /** @type {Found[]} */
  const found = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    const specifier = importedBy(node);
    if (specifier) {
      const line = source.getLineAndCharacterOfPosition(specifier.getStart()).line + 1;
      found.push({ specifier: specifier.text, line, typeOnly: isTypeOnly(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** A page's modules are its scripts: by `src`, or inline. @param {string} text @returns {Found[]} */
function scanPage(text) {
  return [...text.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/gi)].flatMap((match) => {
    const line = text.slice(0, match.index).split('\n').length;
    const file = /\bsrc\s*=\s*["']([^"']+)["']/i.exec(match[1] ?? '')?.[1];
    if (file?.startsWith('.')) return [{ specifier: file, line, typeOnly: false }];
    const inline = scanScript('page.ts', match[2] ?? '');
    return inline.map((one) => ({ ...one, line: one.line + line - 1 }));
  });
}

/** @param {ts.Node} node @returns {ts.StringLiteralLike | undefined} the literal that names another module. */
function importedBy(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return asLiteral(node.moduleSpecifier);
  if (ts.isImportTypeNode(node)) {
    return ts.isLiteralTypeNode(node.argument) ? asLiteral(node.argument.literal) : undefined;
  }
  if (ts.isCallExpression(node)) {
    const loads = node.expression.kind === ts.SyntaxKind.ImportKeyword || isGlob(node.expression);
    return loads ? asLiteral(node.arguments[0]) : undefined;
  }
  // `new URL('./engine-worker.ts', import.meta.url)` is how a worker is imported; other URLs name data.
  if (ts.isNewExpression(node) && node.expression.getText() === 'URL') {
    const file = asLiteral(node.arguments?.[0]);
    const isModule = file !== undefined && /\.(?:m?[jt]s|wgsl)(?:\?|$)/.test(file.text);
    return isModule && node.arguments?.[1]?.getText() === 'import.meta.url' ? file : undefined;
  }
  return undefined;
}

/** @param {ts.Node} callee */
function isGlob(callee) {
  return callee.getText() === 'import.meta.glob';
}

/** @param {ts.Node | undefined} node */
function asLiteral(node) {
  return node && ts.isStringLiteralLike(node) ? node : undefined;
}

/** @param {ts.Node} node */
function isTypeOnly(node) {
  if (ts.isImportTypeNode(node)) return true;
  if (ts.isExportDeclaration(node)) return node.isTypeOnly || areAllTypes(node.exportClause);
  if (!ts.isImportDeclaration(node)) return false;
  const clause = node.importClause;
  if (!clause) return false;
  return clause.isTypeOnly || (!clause.name && areAllTypes(clause.namedBindings));
}

/** @param {ts.Node | undefined} names */
function areAllTypes(names) {
  if (!names || !(ts.isNamedImports(names) || ts.isNamedExports(names))) return false;
  return names.elements.length > 0 && names.elements.every((name) => name.isTypeOnly);
}

/**
 * @param {string} root
 * @param {string} importer
 * @param {string} specifier
 * @returns {Pick<Import, 'target' | 'missing'>}
 */
function resolve(root, importer, specifier) {
  const path = specifier.replace(/[?].*$/, '');
  const isShader = path.startsWith('#shaders/');
  if (!isShader && !path.startsWith('.')) return { missing: false };
  const target = isShader ? path.slice(1) : toRelative(root, join(root, dirname(importer), path));
  return { target, missing: !existsSync(join(root, target)) };
}

/** @param {string} root @param {string} path */
function toRelative(root, path) {
  return relative(root, path).split(sep).join('/');
}
