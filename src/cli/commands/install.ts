import { type Command, Option } from 'commander'
import type { ForerunError } from '../../errors.ts'
import type { InstallRequest, InstallResult } from '../../operations/containers/install.ts'
import type { WholePower } from '../../operations/containers/power.ts'
import type { Context, SourceOptions } from '../../operations/context.ts'
import { type CheckoutMethod, checkoutMethods } from '../../tree/checkout-method.ts'
import { type Accepting, acceptInstall } from '../accept-power.ts'
import { hostFileLine } from '../output/host-file-line.ts'
import { printable, printableText } from '../output/printable.ts'
import { privilegeLines } from '../output/privilege-lines.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { withAcceptOptions, withPlatformOption, withSourceOptions, withValueOptions } from './options.ts'

interface Options extends SourceOptions, Accepting {
  name?: string
  set?: string[]
  setFile?: string[]
  setCredential?: string[]
  runtime?: string
  rootfs?: string
  checkout?: CheckoutMethod
  readOnly?: boolean
  display?: boolean
  now?: boolean
  overrideUnit?: boolean
  updatePolicy?: string
  systemPackage: InstallRequest['systemPackage']
}

export function installCommand(session: Session): Command {
  const described = resultCommand('install', {
    summary: 'install an image as a systemd service that starts at the next boot',
    examples: [
      'forerun install --system registry.example.com/etcd:3.5',
      'forerun install --system --name etcd --set CLUSTER_TOKEN=one --now registry.example.com/etcd:3.5',
      'forerun install --system --display registry.example.com/flannel',
    ],
  })
    .argument('<IMAGE>', 'an image in a registry, or oci:DIR, docker-archive:FILE, …; see forerun(1)')
    .option('--system', 'install a system container; the only kind, and so the default')
    .option(
      '--name <NAME>',
      "name of the container and its unit (default: the last part of IMAGE, with its tag unless that is 'latest')",
    )
  const installing = withValueOptions(described, 'give a template variable a value')
    .option('--runtime <PATH>', 'the OCI runtime (default: that of the settings, else runc)')
    .option('--rootfs <DIR>', 'use the file system at DIR/rootfs or DIR, and make no checkout')
    .addOption(
      new Option(
        '--checkout <METHOD>',
        'how the files of the image come out of the store (default: that of the settings, else auto)',
      ).choices(checkoutMethods),
    )
    .option(
      '--read-only',
      'give an image without a configuration of its own a read-only root (default: the settings, else writable)',
    )
    .option('--no-read-only', 'give it a writable root, whatever the settings say')
    .option('--display', 'print what would be installed, and change nothing')
    .option('--now', 'start the service, too, and wait until it is up')
    .option('--override-unit', 'take the place of a unit that the host has under that name')
    .option(
      '--update-policy <POLICY>',
      "to which tags updates may go: tag, patch, minor, major, or a range such as '~3.5'",
    )
    .addOption(
      new Option('--system-package <CHOICE>', 'make a host package of the files that go to the host')
        .choices(['auto', 'build', 'no', 'yes'])
        .default('auto'),
    )
  withAcceptOptions(installing)
  withPlatformOption(installing, 'install the image for this platform, which the host has to be able to run')
  return withSourceOptions(installing).action((image: string, options: Options) =>
    perform(
      session,
      async (context) => {
        const { install } = await import('../../operations/containers/install.ts')
        const { RunOnceImage } = await import('../../operations/containers/installable-image.ts')
        const { acceptPrivileges, acceptPrivilege, ...request } = options
        const asking = { acceptPrivileges, acceptPrivilege, session, context }
        const acceptPower = (power: WholePower) => acceptInstall(power, asking)
        try {
          return await install({ ...request, image, acceptPower }, context)
        } catch (error) {
          if (!(error instanceof RunOnceImage)) throw error
          return await runInstead(error, { ...request, image }, context)
        }
      },
      describe,
    ),
  )
}

/** An image that is to be run once is run, and not installed. */
async function runInstead(
  refusal: ForerunError,
  request: Options & { image: string },
  context: Context,
): Promise<RunResult> {
  const { display, setCredential, rootfs } = request
  if (display || setCredential !== undefined || rootfs !== undefined) throw refusal
  const { runOnce } = await import('../../operations/containers/run-once.ts')
  const status = await runOnce(request, context)
  process.exitCode = status
  return { outcome: 'run', status }
}

interface RunResult {
  readonly outcome: 'run'
  readonly status: number
}

function describe(result: InstallResult | RunResult): string {
  if (result.outcome === 'run') return ''
  if (result.outcome === 'present') return `${result.name} already present`
  if (result.outcome === 'displayed') return displayed(result)
  const image = printable(result.image)
  const told = result.service
    ? `Installed ${image} as ${result.name}. ${whenItRuns(result)}`
    : `Installed the files of ${image} as ${result.name}.`
  if (result.hostFiles.length === 0) return told
  return [told, 'Files on the host:', ...result.hostFiles.map(hostFileLine)].join('\n')
}

/**
 * Each file under a heading; host files with a second one that tells mode, owner, and what power they give. Then what the container
 * may do on the host.
 */
function displayed({ files, hostFiles, privileges }: Extract<InstallResult, { outcome: 'displayed' }>): string {
  const views = new Map(hostFiles.map((file) => [file.path, file]))
  const shown = files.map(({ path, content, isRemark }) => {
    const view = views.get(path)
    views.delete(path)
    const heading = `# ${printable(path)}`
    return [
      heading,
      ...(view === undefined ? [] : [`# ${hostFileLine(view)}`]),
      isRemark ? printable(content) : printableText(content),
    ].join('\n')
  })
  const may = privileges.length === 0 ? [] : ['# What it may do on the host', ...privilegeLines(privileges)]
  return [...shown, ...[...views.values()].map((view) => `# ${hostFileLine(view)}`), ...may].join('\n')
}

function whenItRuns({ name, started, enabled }: Extract<InstallResult, { outcome: 'installed' }>): string {
  if (started) return enabled ? 'It is running, and starts at every boot.' : `It is running. ${notEnabled}`
  return enabled
    ? `It starts at the next boot, or now with: forerun run ${name}`
    : `Start it with: forerun run ${name}. ${notEnabled}`
}

const notEnabled = 'No boot starts it: its unit asks for that nowhere in an [Install] section.'
