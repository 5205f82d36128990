import { t } from "tap";
import { healthOf } from "../../agent/membership/health.ts";

const CASES = [
  { up: "a", down: "", leader: true, tolerates: 0, says: "HA: no, 1 of 1 voter, tolerates no failure" },
  { up: "ab", down: "", leader: true, tolerates: 0, says: "HA: no, 2 of 2 voters, tolerates no failure" },
  {
    up: "abc",
    down: "",
    leader: true,
    tolerates: 1,
    says: "HA: yes, 3 of 3 voters, tolerates 1 more failure",
  },
  {
    up: "abcde",
    down: "",
    leader: true,
    tolerates: 2,
    says: "HA: yes, 5 of 5 voters, tolerates 2 more failures",
  },
  {
    up: "ab",
    down: "c",
    leader: true,
    tolerates: 0,
    says: "degraded: 2 of 3 voters, tolerates no failure; c unreachable",
  },
  {
    up: "abcd",
    down: "e",
    leader: true,
    tolerates: 1,
    says: "degraded: 4 of 5 voters, tolerates 1 more failure; e unreachable",
  },
  {
    up: "a",
    down: "bc",
    leader: false,
    tolerates: -1,
    says: "no quorum: 1 of 3 voters; b and c unreachable",
  },
  {
    up: "abc",
    down: "",
    leader: true,
    troubled: 1,
    tolerates: 0,
    says: "degraded: 3 of 3 voters, tolerates no failure",
  },
  {
    up: "abcde",
    down: "",
    leader: true,
    troubled: 3,
    tolerates: 0,
    says: "degraded: 5 of 5 voters, tolerates no failure",
  },
  { up: "abc", down: "", leader: false, tolerates: 1, says: "no leader: 3 of 3 voters are electing one" },
];

for (const { up, down, leader, tolerates, says, troubled = 0 } of CASES) {
  t.test(`healthOf(): ${says}`, async (t) => {
    const health = healthOf({ reachable: [...up], troubled, unreachable: [...down], hasLeader: leader });
    t.equal(health.health, says);
    t.equal(health.failuresTolerated, tolerates);
    t.equal(health.voters, up.length + down.length);
    t.equal(health.votersReachable, up.length);
  });
}
