import { exportedVariables, readExports } from '../../bundle/exports.ts'
import type { ImageFiles } from '../../bundle/image-files.ts'
import { builtInVariables, forcedVariables } from '../../bundle/values.ts'

export interface TemplateVariables {
  /** Template variables that have a default, with it: the image's, or the built-in one where that is a fixed text. */
  readonly variables: Readonly<Record<string, string>>
  /** Template variables that `--set` has to give. */
  readonly required: readonly string[]
  /** Whether the image is host files only, whose service templates nobody uses. */
  readonly noContainerService: boolean
}

/** What the templates of an image ask for. @throws ForerunError `exports`, `template` */
export function templateVariables(files: Pick<ImageFiles, 'read'>): TemplateVariables {
  const { manifest, ...service } = readExports(files)
  const { noContainerService, defaultValues } = manifest
  const used = exportedVariables(noContainerService ? { manifest } : { manifest, ...service }, files)
  const open = used.filter((name) => !forcedVariables.includes(name) && !builtInVariables.includes(name))
  return {
    variables: Object.fromEntries(defaultValues),
    required: open.filter((name) => !defaultValues.has(name)),
    noContainerService,
  }
}
