import { type PlaceAnswer, type PlaceRequest, requestHere } from "../cluster/agent-place.ts";

export type HostRequest = PlaceRequest & { readonly id: number; readonly url: string };
export type HostAnswer = { readonly id: number } & (PlaceAnswer | { readonly error: string });

/** Makes the HTTP requests that its parent asks for, on the host that it was started on. Ends with its parent. */
process.on("message", ({ id, url, ...request }: HostRequest) => {
  const answer = (message: HostAnswer): void => {
    if (process.connected) process.send?.(message);
  };
  requestHere(url, request).then(
    ({ status, body }) => answer({ id, status, body }),
    (error: unknown) => answer({ id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
