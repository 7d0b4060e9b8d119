import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import { byteString } from '../tree/entry.ts'
import { type ExportsManifest, exportsManifestFile, parseExportsManifest } from './exports-manifest.ts'
import type { ImageFiles } from './image-files.ts'
import { parseTemplate, type Template, templateVariables } from './template.ts'

/** The metadata that an image carries for the host, read and well formed; every file is optional. */
export interface Exports {
  readonly manifest: ExportsManifest
  /** `/exports/config.json`, which wins, or the template. */
  readonly configuration?:
    | { readonly kind: 'file'; readonly text: string; readonly file: string }
    | ConfigurationTemplate
  readonly unit?: Template
  readonly tmpfiles?: Template
}

interface ConfigurationTemplate {
  readonly kind: 'template'
  readonly template: Template
}

type TextFiles = Pick<ImageFiles, 'read'>

/** @throws ForerunError `exports` or `template` for a file that is malformed whatever the values. */
export function readExports(files: TextFiles): Exports {
  const manifest = parseExportsManifest(readText(files, exportsManifestFile) ?? '{}')
  const configuration = readText(files, configurationFile)
  const template = configuration === undefined ? readTemplate(files, `${configurationFile}.template`) : undefined
  const unit = readTemplate(files, '/exports/service.template')
  const tmpfiles = readTemplate(files, '/exports/tmpfiles.template')
  return {
    manifest,
    ...(configuration === undefined
      ? {}
      : { configuration: { kind: 'file', text: configuration, file: configurationFile } }),
    ...(template === undefined ? {} : { configuration: { kind: 'template', template } }),
    ...(unit === undefined ? {} : { unit }),
    ...(tmpfiles === undefined ? {} : { tmpfiles }),
  }
}

/** Every variable of the templates, those of installed files and new names too, in the order of their first use. */
export function exportedVariables(exports: Exports, files: TextFiles): string[] {
  const installed = exports.manifest.installedFilesTemplate.flatMap((path) => {
    const content = files.read(byteString(posix.join('/exports/hostfs', path)))
    return content === undefined ? [] : templateVariables(parseTemplate(content.toString('latin1'), path))
  })
  const templates = [
    exports.configuration?.kind === 'template' ? exports.configuration.template : undefined,
    exports.unit,
    exports.tmpfiles,
    ...exports.manifest.renameFiles.values(),
  ]
  const own = templates.flatMap((template) => (template === undefined ? [] : templateVariables(template)))
  return [...new Set([...own, ...installed])]
}

const configurationFile = '/exports/config.json'

function readTemplate(files: TextFiles, file: string): Template | undefined {
  const text = readText(files, file)
  return text === undefined ? undefined : parseTemplate(text, file)
}

function readText(files: TextFiles, file: string): string | undefined {
  const content = files.read(byteString(file))
  if (content === undefined) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch (cause) {
    throw new ForerunError('exports', `The file '${file}' is not UTF-8 text`, {
      hint: 'Mend the file in the image and build the image anew.',
      cause,
    })
  }
}
