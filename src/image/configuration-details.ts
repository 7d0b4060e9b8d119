import * as v from 'valibot'
import { absent, dictionary } from './descriptor.ts'
import { parseJson } from './json.ts'

/** What of an image's configuration people may want to see and forerun itself does not need. */
export interface ConfigurationDetails {
  /** Docker's health check, as it is written; times are in nanoseconds. */
  readonly healthCheck?: Readonly<Record<string, unknown>>
  /** What made each layer, base first; only where the history tells that of every layer. */
  readonly createdBy?: readonly string[]
}

/**
 * Reads the `history` of an image's configuration (OCI image specification, "OCI Image Configuration"), and `Healthcheck`,
 * which is Docker's.
 *
 * @param layers how many layers the image has.
 * @throws ForerunError `manifest`
 */
export function parseConfigurationDetails(bytes: Uint8Array, { layers }: { layers: number }): ConfigurationDetails {
  const { config, history } = parseJson(bytes, schema, { document: "the image's configuration" })
  const createdBy = (history ?? []).filter((step) => step.empty_layer !== true).map((step) => step.created_by ?? '')
  return {
    ...(config?.Healthcheck !== undefined && { healthCheck: config.Healthcheck }),
    ...(createdBy.length === layers && { createdBy }),
  }
}

const schema = v.object({
  config: absent(v.object({ Healthcheck: absent(dictionary(v.unknown())) })),
  history: absent(v.array(v.object({ created_by: absent(v.string()), empty_layer: absent(v.boolean()) }))),
})
