import type { ProgramDescriptor } from './device.ts';

/** How a shader uses a binding. */
export type BindingKind = 'read-only-storage' | 'storage' | 'uniform';

/** One `@binding` of a shader. */
export interface ShaderBinding {
  readonly index: number;
  readonly name: string;
  readonly kind: BindingKind;
}

/** A piece of the composed text and the line (0-based) at which it starts. */
interface Section {
  readonly file: string;
  readonly firstLine: number;
}

/** The text given to the compiler and the way back from its lines to files. */
export interface ComposedShader {
  readonly code: string;
  readonly sections: readonly Section[];
}

const BINDING =
  /@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(storage|uniform)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)/g;

/** Puts `enable` directives, shape constants, preludes and the shader into one text. */
export function composeShader(descriptor: ProgramDescriptor): ComposedShader {
  const shape = Object.entries(descriptor.shape ?? {})
    .map(([name, value]) => `const ${name}: u32 = ${value}u;`)
    .join('\n');
  const pieces = [
    ...(descriptor.preludes ?? []).map(({ name, source }) => ({
      file: `preludes/${name}.wgsl`,
      text: source,
    })),
    { file: `${descriptor.shader}.wgsl`, text: descriptor.source },
  ];
  // Directives must come before all declarations, whichever piece asks for them.
  const directives = [...new Set(pieces.flatMap(({ text }) => text.match(DIRECTIVE) ?? []))];
  const header = { file: '(shape)', text: [...directives, shape].join('\n') };
  const sections: Section[] = [];
  const lines: string[] = [];
  for (const { file, text } of [header, ...pieces]) {
    sections.push({ file, firstLine: lines.length });
    const body = file === header.file ? text : text.replace(DIRECTIVE, (match) => ' '.repeat(match.length));
    lines.push(...body.split('\n'));
  }
  return { code: lines.join('\n'), sections };
}

const DIRECTIVE = /^(?:enable|requires)\s[^;]*;/gm;

/** The bindings that a shader text declares, by index. */
export function reflectBindings(code: string): readonly ShaderBinding[] {
  const bindings = [...code.matchAll(BINDING)].map(([, index, space, access, name]) => ({
    index: Number(index),
    name: name as string,
    kind: bindingKind(space as string, access),
  }));
  return bindings.toSorted((a, b) => a.index - b.index);
}

function bindingKind(space: string, access: string | undefined): BindingKind {
  if (space === 'uniform') return 'uniform';
  return access === 'read_write' ? 'storage' : 'read-only-storage';
}

/** Names that identify a variant in labels and caches: `matmul[q4, bias] N=4096`. */
export function programLabel(descriptor: ProgramDescriptor): string {
  const preludes = (descriptor.preludes ?? []).map(({ name }) => name).join(', ');
  const values = Object.entries({ ...descriptor.shape, ...descriptor.constants })
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
  return [`${descriptor.shader}${preludes && `[${preludes}]`}`, values].filter(Boolean).join(' ');
}

/** One complaint of the shader compiler; line and column are 1-based, as WebGPU reports them. */
export interface CompilerMessage {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** `file:line:column: message`, the line and a caret below the place. */
export function formatCompilerMessage(
  shader: ComposedShader,
  { message, line, column }: CompilerMessage,
): string {
  const section = shader.sections.findLast(({ firstLine }) => firstLine < Math.max(line, 1));
  const text = shader.code.split('\n')[line - 1] ?? '';
  const place = `${section?.file ?? 'shader'}:${line - (section?.firstLine ?? 0)}:${column}`;
  return `${place}: ${message}\n  ${text}\n  ${' '.repeat(Math.max(0, column - 1))}^`;
}
