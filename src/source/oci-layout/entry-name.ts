import { ForerunError } from '../../errors.ts'
import { shownWords } from '../../image/reference.ts'

/**
 * Checks a name for an image in a layout (OCI image specification, "Annotation Rules", `org.opencontainers.image.ref.name`)
 * before it is written.
 *
 * @throws ForerunError `reference`
 */
export function checkEntryName(name: string): void {
  if (/^[A-Za-z0-9]+(?:(?:--|[-._:@+])[A-Za-z0-9]+|\/[A-Za-z0-9]+)*$/.test(name)) return
  throw new ForerunError('reference', `'${shownWords(name)}' cannot be the name of an image in a layout`, {
    hint: 'It is made of letters and digits, with one of -._:@+/ between them: oci:DIR:3.5 or oci:DIR:registry.example/etcd:3.5.',
  })
}

/** The annotation that holds it. */
export const entryNameAnnotation = 'org.opencontainers.image.ref.name'
