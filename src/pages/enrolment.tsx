import type { Row } from '../db/read.ts';
import { thingHref } from './link.ts';
import type { Model } from '../db/catalog.ts';

/** What an operator decides of a host that enrols. */
export const EnrolmentActions = ({ model, row }: { model: Model; row: Row }) => {
  const state = String(row['state']);
  const href = thingHref(model, row);
  return (
    <>
      {state === 'pending' ? (
        <form method="post" action={`${href}/approve`}>
          <button class="primary" type="submit">
            Approve
          </button>
        </form>
      ) : null}
      {state === 'pending' || state === 'approved' ? (
        <details class="confirm">
          <summary class="button danger">{state === 'pending' ? 'Reject…' : 'Put out…'}</summary>
          <form method="post" action={`${href}/reject`}>
            <p>
              {state === 'pending'
                ? 'The host is not let in with this key. It needs another enrolment token to ask again.'
                : 'The host reads no more documents with this key, and its token ends at once.'}
            </p>
            <button class="danger" type="submit">
              {state === 'pending' ? 'Reject' : 'Put out'}
            </button>
          </form>
        </details>
      ) : null}
    </>
  );
};
