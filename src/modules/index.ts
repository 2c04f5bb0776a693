import type { Resource } from '../kernel/resource.ts';
import { cephCluster } from './ceph/ceph-cluster.ts';
import { cephKey } from './ceph/ceph-key.ts';
import { cephMonNode } from './ceph/ceph-mon-node.ts';
import { cephOsd } from './ceph/ceph-osd.ts';
import { cephOsdNode } from './ceph/ceph-osd-node.ts';
import { cephPool } from './ceph/ceph-pool.ts';
import { ApplySet, ApplySetMember, IdempotencyKey } from './control/bulk.ts';
import { auditEntry } from './control/audit-entry.ts';
import { Change, ChangedRow } from './control/change.ts';
import { Document, DocumentVersion } from './control/document.ts';
import { enrolment } from './control/enrolment.ts';
import { enrolmentToken } from './control/enrolment-token.ts';
import { tombstone } from './control/tombstone.ts';
import { token } from './control/token.ts';
import { webhook } from './control/webhook.ts';
import { webhookDelivery } from './control/webhook-delivery.ts';
import { classList } from './layers/class-list.ts';
import { layer } from './layers/layer.ts';
import { nodeGroup } from './layers/node-group.ts';
import { listResources } from './lists/lists.ts';
import { address } from './network/address.ts';
import { network } from './network/network.ts';
import { networkMembership } from './network/network-membership.ts';
import { subnet } from './network/subnet.ts';
import { vmInterface } from './network/vm-interface.ts';
import { binding } from './people/binding.ts';
import { customer } from './people/customer.ts';
import { LoginLink, LoginThrottle, PersonGroup, PersonSecret, RateLimit } from './people/login-tables.ts';
import { person } from './people/person.ts';
import { project } from './people/project.ts';
import { role } from './people/role.ts';
import { session } from './people/session.ts';
import { node } from './place/node.ts';
import { nodeAddress } from './place/node-address.ts';
import { nodeInterface } from './place/node-interface.ts';
import { site } from './place/site.ts';
import { nodeFacts } from './reports/node-facts.ts';
import { NodeStatus } from './reports/node-status.ts';
import { observation } from './reports/observation.ts';
import { report } from './reports/report.ts';
import { hypervisor, HypervisorMethod } from './roles/hypervisor.ts';
import { image } from './storage/image.ts';
import { poolAttachment } from './storage/pool-attachment.ts';
import { snapshot } from './storage/snapshot.ts';
import { storagePool } from './storage/storage-pool.ts';
import { volume } from './storage/volume.ts';
import { vm } from './vms/vm.ts';

/**
 * All nouns, each after those that it refers to: the order of export and import, and of the navigation.
 */
export const resources: readonly Resource[] = [
  ...listResources,
  site,
  customer,
  project,
  person,
  session,
  role,
  cephCluster,
  cephPool,
  cephKey,
  node,
  nodeInterface,
  nodeAddress,
  hypervisor,
  cephMonNode,
  cephOsdNode,
  cephOsd,
  network,
  subnet,
  storagePool,
  poolAttachment,
  image,
  vm,
  vmInterface,
  networkMembership,
  address,
  volume,
  snapshot,
  nodeGroup,
  classList,
  layer,
  report,
  observation,
  nodeFacts,
  tombstone,
  token,
  enrolmentToken,
  enrolment,
  binding,
  auditEntry,
  webhook,
  webhookDelivery,
];

/** Tables that no noun shows. */
export const internalEntities = [
  HypervisorMethod,
  Document,
  DocumentVersion,
  Change,
  ChangedRow,
  NodeStatus,
  IdempotencyKey,
  ApplySet,
  ApplySetMember,
  PersonSecret,
  PersonGroup,
  LoginLink,
  LoginThrottle,
  RateLimit,
] as const;
