import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { dropNulls } from './older-spellings.ts'
import { describeIssue } from './schema-issue.ts'
import { dictionary, object } from './schema-types.ts'
import { parseTemplate, type Template, type Values } from './template.ts'
import { readJsonFile } from './template-json.ts'

/** `/exports/manifest.json`; an image without one has the defaults. Host paths are as the file spells them. */
export interface ExportsManifest {
  readonly defaultValues: Values
  /** Host paths, before renaming, of files whose content is a template. */
  readonly installedFilesTemplate: readonly string[]
  /** Host path to new host path. */
  readonly renameFiles: ReadonlyMap<string, Template>
  /** Only host files: no unit, no tmpfiles, no root file system. */
  readonly noContainerService: boolean
  readonly useLinks: boolean
  /** Whether an update keeps what the container wrote to a root that is writable. */
  readonly keepRootChanges: boolean
  /** Variables whose values are secret. */
  readonly secretValues: readonly string[]
}

export const exportsManifestFile = '/exports/manifest.json'

/** @throws ForerunError `exports` naming the key, or `template` for a bad `$` in a new name. */
export function parseExportsManifest(text: string): ExportsManifest {
  const json = dropNulls(readJsonFile(text, exportsManifestFile, { code: 'exports' }))
  const result = v.safeParse(schema, json)
  if (!result.success) {
    throw new ForerunError(
      'exports',
      `The file '${exportsManifestFile}' has a fault: ${describeIssue(result.issues[0])}`,
      {
        hint: 'Mend the file in the image and build the image anew.',
      },
    )
  }
  const {
    defaultValues,
    installedFilesTemplate,
    renameFiles,
    noContainerService,
    useLinks,
    keepRootChanges,
    secretValues,
  } = result.output
  return {
    defaultValues: new Map(Object.entries(defaultValues).map(([name, value]) => [name, `${value}`])),
    installedFilesTemplate,
    renameFiles: new Map(
      Object.entries(renameFiles).map(([from, to]) => [from, parseTemplate(to, exportsManifestFile)]),
    ),
    noContainerService,
    useLinks,
    keepRootChanges,
    secretValues,
  }
}

const schema = object({
  version: v.optional(v.pipe(v.string(), v.regex(/^1(\.|$)/, 'version "1.0" of the format'))),
  // Numbers too, as the old tool took them: "PORT": 2379.
  defaultValues: v.optional(dictionary(v.string(), v.union([v.string(), v.number(), v.bigint()])), {}),
  installedFilesTemplate: v.optional(v.array(v.string()), []),
  renameFiles: v.optional(dictionary(v.string(), v.string()), {}),
  noContainerService: v.optional(v.boolean(), false),
  useLinks: v.optional(v.boolean(), true),
  keepRootChanges: v.optional(v.boolean(), false),
  secretValues: v.optional(v.array(v.string()), []),
})
