import { isUtf8 } from 'node:buffer'
import { ForerunError } from '../errors.ts'
import { textBudget } from '../image/text-limits.ts'
import { type ByteString, byteString, displayPath } from '../tree/entry.ts'
import { type ExportsManifest, exportsManifestFile } from './exports-manifest.ts'
import type { ExportedFile, ImageFiles } from './image-files.ts'
import { parseTemplate, renderTemplate, secretVariables, type Values } from './template.ts'

/** A file to be on the host. `path` is absolute, without `.`, `..` or empty parts. */
export type HostFile =
  | {
      readonly kind: 'directory'
      readonly path: ByteString
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }
  | {
      readonly kind: 'symlink'
      readonly path: ByteString
      readonly target: ByteString
      readonly uid: number
      readonly gid: number
    }
  | {
      readonly kind: 'file'
      readonly path: ByteString
      readonly mode: number
      readonly uid: number
      readonly gid: number
      /** Where the content lies in the image; absolute. */
      readonly source: ByteString
      /** The content where the image's is a template. */
      readonly rendered?: Buffer
    }

/**
 * Where each file under `/exports/hostfs` goes, renamed and rendered as the manifest says; parents first.
 *
 * @throws ForerunError `exports` when a new name is no place beneath the root or too long, or two files have one place; `template`
 * when a name or content cannot be rendered; `limit` when all that is rendered is too large.
 */
export function planHostFiles(
  files: ImageFiles,
  manifest: ExportsManifest,
  { values, secrets = new Set() }: { values: Values; secrets?: ReadonlySet<string> },
): HostFile[] {
  const rename = renamer(manifest, values)
  const templates = new Set(manifest.installedFilesTemplate.map((path) => hostPath(byteString(path))))
  const planned = new Map<ByteString, HostFile>()
  const spend = textBudget("The image's host files that are templates")
  for (const file of files.hostFiles()) {
    const original = hostPath(file.path)
    const path = rename(original)
    if (path.length > longestPath) throw tooLong(path)
    refuseKernelPlace(path)
    refuseOtherEncoding(path)
    const earlier = planned.get(path)
    if (earlier?.kind === 'directory' && file.kind === 'directory') continue
    if (earlier !== undefined) throw collision(path)
    const rendered =
      templates.has(original) && file.kind === 'file' ? render(files, file.path, { values, secrets }) : undefined
    spend(rendered?.rendered.length ?? 0)
    planned.set(path, hostFile(file, path, rendered))
  }
  const inOrder = [...planned.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
  for (const { path } of inOrder) {
    for (const parent of parents(path))
      if ((planned.get(parent)?.kind ?? 'directory') !== 'directory') throw collision(parent)
  }
  return inOrder
}

/** The list of what a deployment placed is text, and another name would be taken for its own. */
function refuseOtherEncoding(path: ByteString): void {
  if (isUtf8(Buffer.from(path, 'latin1'))) return
  throw new ForerunError('exports', `The image's host file '${displayPath(path)}' has a name that is no UTF-8`, {
    hint: 'Have the image built anew with another name for it.',
  })
}

/** The longest renamed path that is the file's own or that of a directory above it decides. */
function renamer(manifest: ExportsManifest, values: Values): (path: ByteString) => ByteString {
  const renames = [...manifest.renameFiles]
    .map(([from, template]) => ({
      from: hostPath(byteString(from)),
      to: newName(from, renderTemplate(template, values)),
    }))
    .sort((a, b) => b.from.length - a.from.length)
  return (path) => {
    const rule = renames.find(({ from }) => path === from || path.startsWith(`${from}/`))
    return rule === undefined ? path : rule.to + path.slice(rule.from.length)
  }
}

function newName(from: string, to: string): ByteString {
  const parts = to.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.length === 0 || parts.includes('..') || to.includes('\0')) {
    throw new ForerunError(
      'exports',
      `The file '${exportsManifestFile}' renames '${from}' to ${JSON.stringify(to)}, which is no place beneath the root`,
      { hint: 'Check the values of the variables in renameFiles; a new name is an absolute path without "..".' },
    )
  }
  return byteString(`/${parts.join('/')}`)
}

function hostPath(path: ByteString): ByteString {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  return `/${parts.join('/')}`
}

function hostFile(file: ExportedFile, path: ByteString, content: RenderedFile | undefined): HostFile {
  const { mode, uid, gid } = file
  if (file.kind === 'directory') return { kind: 'directory', path, mode, uid, gid }
  if (file.kind === 'symlink') return { kind: 'symlink', path, target: file.target, uid, gid }
  const source = sourcePath(file.path)
  if (content === undefined) return { kind: 'file', path, mode, uid, gid, source }
  return { kind: 'file', path, mode: mode & content.modeMask, uid, gid, source, rendered: content.rendered }
}

interface RenderedFile {
  readonly rendered: Buffer
  /** Other users do not read what holds a secret. */
  readonly modeMask: number
}

/** Bytes that are no text pass through: only the values are encoded as UTF-8. */
function render(
  files: ImageFiles,
  path: ByteString,
  given: { values: Values; secrets: ReadonlySet<string> },
): RenderedFile {
  const content = files.read(sourcePath(path)) ?? Buffer.alloc(0)
  const template = parseTemplate(content.toString('latin1'), displayPath(sourcePath(path)))
  const rendered = Buffer.from(renderTemplate(template, given.values, { place: byteString }), 'latin1')
  return { rendered, modeMask: secretVariables(template, given.secrets).length === 0 ? 0o7777 : 0o7770 }
}

function sourcePath(path: ByteString): ByteString {
  return `/exports/hostfs/${path}`
}

function parents(path: ByteString): ByteString[] {
  const parts = path.split('/').slice(1, -1)
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)
}

/** What one system call takes, less what a file is called before it is complete. */
const longestPath = 4000

function tooLong(path: ByteString): ForerunError {
  const message = `A host file of the image has a path of ${path.length} bytes: '${displayPath(path.slice(0, 40))}…'`
  return new ForerunError('exports', message, { hint: `Programs on a host reach no more than ${longestPath} bytes.` })
}

/** What is below these is made by the kernel: it takes no files, or only until the next boot. */
const kernelPlaces = ['/proc', '/sys', '/dev']

function refuseKernelPlace(path: ByteString): void {
  const place = kernelPlaces.find((each) => path.startsWith(`${each}/`))
  if (place === undefined) return
  throw new ForerunError('exports', `The image has a host file '${displayPath(path)}', and ${place} holds no files`, {
    hint: 'Have the image put it below /etc, /usr or /var, or set the value that decides its new name.',
  })
}

function collision(path: ByteString): ForerunError {
  return new ForerunError('exports', `Two of the image's host files have one place: '${displayPath(path)}'`, {
    hint: `Check renameFiles in '${exportsManifestFile}' and the values of its variables.`,
  })
}
