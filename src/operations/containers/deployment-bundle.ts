import { type Bundle, prepareBundle } from '../../bundle/bundle.ts'
import { grantableCapabilities } from '../../bundle/capabilities.ts'
import type { Values } from '../../bundle/template.ts'
import { hostKind } from '../../host/host-kind.ts'
import { unitName } from '../../host/paths.ts'
import { securityModules } from '../../host/security-modules.ts'
import { unitDropIns } from '../../systemd/unit-drop-ins.ts'
import type { CheckoutMethod } from '../../tree/checkout-method.ts'
import { privilegedFiles } from '../../tree/privileged-files.ts'
import type { GivenValues } from './given-values.ts'
import { hostSeccomp } from './host-seccomp.ts'
import type { InstallableImage } from './installable-image.ts'

/** What is decided of a deployment by its user, or by the deployment before. */
export interface DeploymentWish {
  readonly name: string
  /** Where the deployment is to lie. */
  readonly folder: string
  readonly given: GivenValues & { readonly earlier?: Values }
  readonly uuid: string
  readonly runtime: string
  readonly checkout: CheckoutMethod
  readonly readOnlyRoot: 'asked' | 'preferred' | undefined
  /** Directories that are on the host by the deployment before: for this one to make, as if they were not there. */
  readonly made: readonly string[]
}

/** The bundle of an image on this host. @throws as `prepareBundle`. */
export function deploymentBundle(image: InstallableImage, wish: DeploymentWish): Bundle {
  return prepareBundle({
    deployment: {
      name: wish.name,
      destination: wish.folder,
      imageId: image.id,
      imageName: image.name,
      runtime: wish.runtime,
      program: '/usr/bin/forerun',
      uuid: wish.uuid,
      capabilities: grantableCapabilities(),
    },
    image: image.configuration,
    files: image.files,
    ...wish.given,
    hostKind: kindWithout(wish.made),
    securityModules: securityModules(),
    seccomp: hostSeccomp,
    privilegedFiles: privilegedFiles(image.tree),
    unitDropIns: unitDropIns(unitName(wish.name)).map(({ text }) => text),
    overlay: wish.checkout === 'overlay',
    readOnlyRoot: wish.readOnlyRoot,
    ...(image.rootfs === undefined ? {} : { rootfs: image.rootfs }),
  })
}

/** Directories beneath one that was made are as little the host's own. */
function kindWithout(made: readonly string[]): typeof hostKind {
  const isMade = (path: string): boolean => made.some((each) => path === each || path.startsWith(`${each}/`))
  return (path) => {
    const kind = hostKind(path)
    return kind === 'directory' && isMade(path) ? undefined : kind
  }
}
