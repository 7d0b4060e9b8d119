import { allCapabilities } from './capabilities.ts'
import { capabilitiesOf } from './runtime-configuration.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'

/** What a host has to give to a container. */
export interface HostAbilities {
  readonly selinux: boolean
  readonly apparmor: boolean
  /** Names. */
  readonly capabilities: readonly string[]
}

/**
 * Leaves out of a configuration what this host has not, and for which a runtime would refuse to start the container: labels of
 * SELinux, a profile of AppArmor, and capabilities that PID 1 itself may not have.
 *
 * @returns notices, a sentence each.
 */
export function fitToHost(
  configuration: RuntimeConfiguration,
  host: HostAbilities,
): { configuration: RuntimeConfiguration; notices: string[] } {
  const notices: string[] = []
  let fitted = configuration
  if (!host.selinux && JSON.stringify(withoutLabels(fitted)) !== JSON.stringify(fitted)) {
    fitted = withoutLabels(fitted)
    notices.push('The labels of SELinux are left out of the configuration: it is not in force on this host')
  }
  if (!host.apparmor && fitted.process.apparmorProfile) {
    notices.push(`The profile '${fitted.process.apparmorProfile}' is left out: AppArmor is not in force on this host`)
    const { apparmorProfile: _, ...process } = fitted.process
    fitted = { ...fitted, process }
  }
  const wanted = capabilitiesOf(fitted)
  const missing = allCapabilities.filter((name) => wanted.has(name) && !host.capabilities.includes(name))
  if (missing.length > 0) {
    notices.push(`This host cannot give ${missing.join(', ')}, which the configuration asks for`)
    fitted = withoutCapabilities(fitted, missing)
  }
  return { configuration: fitted, notices }
}

/** Empty labels, which mean nothing, stay. */
function withoutLabels(configuration: RuntimeConfiguration): RuntimeConfiguration {
  const { process, linux, mounts } = configuration
  const { selinuxLabel, ...unlabelled } = process
  return {
    ...configuration,
    process: selinuxLabel ? unlabelled : process,
    ...(linux === undefined ? {} : { linux: withoutMountLabel(linux) }),
    ...(mounts === undefined ? {} : { mounts: mounts.map(withoutContext) }),
  }
}

function withoutMountLabel(linux: NonNullable<RuntimeConfiguration['linux']>): typeof linux {
  const { mountLabel, ...rest } = linux
  return mountLabel ? rest : linux
}

/** Options that the kernel's SELinux reads (mount(8), "context="). */
function withoutContext(mount: Mount): Mount {
  const label = /^(?:fs|def|root)?context=/
  if (!mount.options?.some((option) => label.test(option))) return mount
  return { ...mount, options: mount.options.filter((option) => !label.test(option)) }
}

function withoutCapabilities(configuration: RuntimeConfiguration, names: readonly string[]): RuntimeConfiguration {
  const { process } = configuration
  const capabilities = { ...process.capabilities }
  for (const set of ['bounding', 'effective', 'inheritable', 'permitted', 'ambient'] as const) {
    const list = capabilities[set]
    if (list !== undefined) capabilities[set] = list.filter((name) => !names.includes(name))
  }
  return { ...configuration, process: { ...process, capabilities } }
}
