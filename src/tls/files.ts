import { readFileSync, statSync } from 'node:fs';
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ConfigError, type Config } from '../kernel/config.ts';
import { Authority } from './authority.ts';

/** Milliseconds between two looks at the files: notifications of file systems miss links, mounts and renames. */
const LOOK = 2000;

/** What the files hold. */
export interface TlsState {
  /** Undefined: TLS ends elsewhere. */
  readonly context: SecureContextOptions | undefined;
  /** Whose client certificates count. */
  readonly authority: Authority | undefined;
}

type Paths = Readonly<Record<'cert' | 'key' | 'ca' | 'crl', string | undefined>>;

const names = { cert: 'CORRAL_TLS_CERT', key: 'CORRAL_TLS_KEY', ca: 'CORRAL_TLS_CLIENT_CA', crl: 'CORRAL_TLS_CRL' } as const;

export interface TlsFilesOptions {
  /** Told of new files, after they were found good. */
  readonly changed: (state: TlsState) => void;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** Milliseconds between two looks. */
  readonly every?: number;
}

/**
 * The TLS files of the configuration. They are looked at every few seconds; new ones are used as soon as they are
 * good together, and until then the ones before.
 */
export class TlsFiles {
  readonly #paths: Paths;
  readonly #options: TlsFilesOptions;
  readonly #timer: NodeJS.Timeout;
  #seen: string;
  #state: TlsState;

  /** @returns undefined when there are none @throws ConfigError */
  static open(config: Pick<Config, 'tls_cert' | 'tls_key' | 'tls_client_ca' | 'tls_crl'>, options: TlsFilesOptions): TlsFiles | undefined {
    const paths = { cert: config.tls_cert, key: config.tls_key, ca: config.tls_client_ca, crl: config.tls_crl };
    if ((paths.cert === undefined) !== (paths.key === undefined)) throw new ConfigError(`${names.cert} and ${names.key} are set together, or neither`);
    if (paths.crl !== undefined && paths.ca === undefined) throw new ConfigError(`${names.crl} needs ${names.ca}, whose lists it holds`);
    return Object.values(paths).some((path) => path !== undefined) ? new TlsFiles(paths, options) : undefined;
  }

  private constructor(paths: Paths, options: TlsFilesOptions) {
    this.#paths = paths;
    this.#options = options;
    this.#seen = this.#stamp();
    try {
      this.#state = this.#read();
    } catch (error) {
      throw new ConfigError((error as Error).message);
    }
    this.#timer = setInterval(() => this.look(), options.every ?? LOOK);
    this.#timer.unref();
  }

  /** What the files held when they were good last. */
  get state(): TlsState {
    return this.#state;
  }

  /** Looks whether the files are others than before; `again`: reads them even so. */
  look(again = false): void {
    const stamp = this.#stamp();
    if (stamp === this.#seen && !again) return;
    /* Noted before they are read: what changes while they are is read the next time. */
    this.#seen = stamp;
    try {
      this.#state = this.#read();
      this.#options.changed(this.#state);
      this.#options.info('the TLS files were read anew');
    } catch (error) {
      this.#options.warn(`the TLS files changed and cannot be used, so those before stay: ${(error as Error).message}`);
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #stamp(): string {
    return Object.values(this.#paths)
      .map((path) => {
        if (path === undefined) return '';
        const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
        return stat ? `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}` : 'none';
      })
      .join(', ');
  }

  /** @throws Error that names the setting */
  #read(): TlsState {
    const text = (name: keyof Paths): string | undefined => {
      const path = this.#paths[name];
      if (path === undefined) return undefined;
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        throw new Error(`${names[name]}: ${path}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be read'}`, { cause: error });
      }
    };
    const told = <T>(setting: string, work: () => T): T => {
      try {
        return work();
      } catch (error) {
        throw new Error(`${setting}: ${(error as Error).message}`, { cause: error });
      }
    };
    const [cert, key, ca, crl] = [text('cert'), text('key'), text('ca'), text('crl')];
    const authority = ca === undefined ? undefined : told(crl === undefined ? names.ca : `${names.ca} and ${names.crl}`, () => new Authority(ca, crl));
    if (cert === undefined || key === undefined) return { context: undefined, authority };
    const context: SecureContextOptions = {
      cert,
      key,
      minVersion: 'TLSv1.2',
      /* Each connection shows its certificate anew: one that is resumed would not be asked whether it was revoked since. */
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_CIPHER_SERVER_PREFERENCE | (ca === undefined ? 0 : constants.SSL_OP_NO_TICKET),
      ...(ca === undefined
        ? {}
        : {
            ca /* Node reads one list of each string. */,
            ...(crl === undefined ? {} : { crl: crl.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g)! }),
          }),
    };
    told(`${names.cert} and ${names.key}`, () => createSecureContext(context));
    return { context, authority };
  }
}
