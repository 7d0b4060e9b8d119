/** The systemd manager of a running host. Over D-Bus in `dbus-manager.ts`. Close it with `await using`. */
export interface SystemdManager extends AsyncDisposable {
  /** Reads all unit files anew. */
  reload(): Promise<void>
  /** Makes the links that the unit's `[Install]` section asks for; returns those made. A unit without one makes none. */
  enable(unit: string): Promise<UnitFileChange[]>
  /** Removes every link to the unit from the configuration directory. */
  disable(unit: string): Promise<UnitFileChange[]>
  /** Starts and waits for the job. @throws ForerunError `systemd` when the job does not end in `done`; names `journalctl -u`. */
  start(unit: string): Promise<void>
  /** Stops and waits for the job. A unit that is not loaded counts as stopped. */
  stop(unit: string): Promise<void>
  /** Clears the failed state; nothing when there is none. */
  resetFailed(unit: string): Promise<void>
  /** Properties of a unit, loading it when need be. */
  status(unit: string): Promise<UnitStatus>
}

export interface UnitFileChange {
  readonly kind: 'symlink' | 'unlink'
  readonly path: string
  readonly target: string
}

export interface UnitStatus {
  /** `loaded`, `not-found`, `bad-setting`, `error`, `masked`. */
  readonly loadState: string
  /** What made loading fail; empty when nothing did. */
  readonly loadError: string
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`. */
  readonly activeState: string
  readonly subState: string
  /** `enabled`, `disabled`, `static`, `alias`, …; empty when there is no unit file. */
  readonly unitFileState: string
  /** Path of the unit file; empty when there is none. */
  readonly fragmentPath: string
  /** 0 when there is none. */
  readonly mainPid: number
}
