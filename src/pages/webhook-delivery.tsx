import type { Row } from '../db/read.ts';
import { changeHref } from './link.ts';

/** What can be done with a delivery: look at its change, and have it sent again. */
export const DeliveryActions = ({ row, admin }: { row: Row; admin: boolean }) => (
  <>
    <a class="button" href={changeHref(Number(row['change']))}>
      Change {String(row['change'])}
    </a>
    {admin ? (
      <form method="post" action={`/api/v1/webhook-deliveries/${String(row['id'])}/redeliver`}>
        <button type="submit">{row['status'] === 'pending' ? 'Send now' : 'Send again'}</button>
      </form>
    ) : null}
  </>
);
