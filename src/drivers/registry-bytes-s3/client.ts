/** The calls of S3 that the registry makes, signed (version 4). Knows buckets and keys, nothing of blobs. */
import { AwsClient } from "aws4fetch";
import { messageOf, NotFoundError, UnavailableError } from "../../core/errors.ts";

export interface S3Options {
  /** `https://s3.example.com`: buckets are addressed by path. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Part {
  readonly number: number;
  readonly etag: string;
}

export interface S3Object {
  readonly key: string;
  readonly modifiedAt: number;
  readonly size: number;
}

/** Of one try; a part of 64 MiB has to fit. */
const TIME = 120_000;
const TRIES = 4;

export class S3Client {
  readonly #aws: AwsClient;
  readonly #base: string;

  constructor({ endpoint, region, bucket, accessKeyId, secretAccessKey }: S3Options) {
    this.#aws = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
    this.#base = `${endpoint.replace(/\/+$/, "")}/${bucket}`;
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#call("PUT", key, { body });
  }

  /** @param range both inclusive. @throws NotFoundError */
  async get(key: string, range?: { start: number; end: number }): Promise<Response> {
    const headers: Record<string, string> = range ? { Range: `bytes=${range.start}-${range.end}` } : {};
    return await this.#call("GET", key, { headers });
  }

  /** Idempotent. */
  async delete(key: string): Promise<void> {
    await this.#call("DELETE", key).catch(ignoreMissing);
  }

  async beginParts(key: string): Promise<string> {
    const text = await (await this.#call("POST", key, { query: "uploads=" })).text();
    return tagOf(text, "UploadId");
  }

  /** @returns the part's tag */
  async putPart(key: string, upload: string, number: number, body: Uint8Array): Promise<string> {
    const reply = await this.#call("PUT", key, {
      query: `partNumber=${number}&uploadId=${encodeURIComponent(upload)}`,
      body,
    });
    return reply.headers.get("etag") ?? "";
  }

  async completeParts(key: string, upload: string, parts: readonly S3Part[]): Promise<void> {
    const items = parts.map(
      ({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${escaped(etag)}</ETag></Part>`,
    );
    const body = new TextEncoder().encode(
      `<CompleteMultipartUpload>${items.join("")}</CompleteMultipartUpload>`,
    );
    const reply = await this.#call("POST", key, { query: `uploadId=${encodeURIComponent(upload)}`, body });
    // S3 may answer 200 and tell the failure in the body.
    const text = await reply.text();
    if (text.includes("<Error>")) throw new UnavailableError(`object storage: ${tagOf(text, "Message")}`);
  }

  /** Idempotent. */
  async abortParts(key: string, upload: string): Promise<void> {
    await this.#call("DELETE", key, { query: `uploadId=${encodeURIComponent(upload)}` }).catch(ignoreMissing);
  }

  async *list(prefix: string): AsyncIterable<S3Object> {
    for (let token = ""; ; ) {
      const query = new URLSearchParams({
        "list-type": "2",
        prefix,
        ...(token && { "continuation-token": token }),
      });
      const text = await (await this.#call("GET", "", { query: query.toString() })).text();
      for (const [, entry = ""] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        yield {
          key: unescaped(tagOf(entry, "Key")),
          modifiedAt: Date.parse(tagOf(entry, "LastModified")),
          size: Number(tagOf(entry, "Size")),
        };
      }
      token = text.includes("<IsTruncated>true") ? unescaped(tagOf(text, "NextContinuationToken")) : "";
      if (token === "") return;
    }
  }

  /** A URL that anybody may GET for so long. */
  async sign(key: string, seconds: number): Promise<string> {
    const url = new URL(this.#url(key));
    url.searchParams.set("X-Amz-Expires", String(seconds));
    const signed = await this.#aws.sign(url.toString(), { method: "GET", aws: { signQuery: true } });
    return signed.url;
  }

  #url(key: string): string {
    return key === "" ? this.#base : `${this.#base}/${key.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** All of these may be repeated: a part or an object is the same the second time. */
  async #call(
    method: string,
    key: string,
    {
      query,
      body,
      headers = {},
    }: { query?: string; body?: Uint8Array; headers?: Record<string, string> } = {},
  ): Promise<Response> {
    const url = this.#url(key) + (query === undefined ? "" : `?${query}`);
    for (let attempt = 1; ; attempt++) {
      try {
        const reply = await this.#aws.fetch(url, {
          method,
          headers: { ...headers, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD" },
          ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
          signal: AbortSignal.timeout(TIME),
        });
        if (reply.ok) return reply;
        const text = await reply.text();
        if (reply.status === 404) throw new NotFoundError(`object ${key}: not found`, { subject: key });
        const told = text.includes("<Message>") ? tagOf(text, "Message") : text.slice(0, 200);
        throw new UnavailableError(`object storage: ${method} answers ${reply.status}: ${told}`);
      } catch (error) {
        const final = error instanceof NotFoundError || /answers 4\d\d/.test(messageOf(error));
        if (final || attempt === TRIES) throw toUnavailable(error);
        await Bun.sleep(100 * 4 ** (attempt - 1));
      }
    }
  }
}

function toUnavailable(error: unknown): Error {
  if (error instanceof NotFoundError || error instanceof UnavailableError) return error;
  return new UnavailableError(`object storage: ${messageOf(error)}`, { cause: error });
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof NotFoundError)) throw error;
}

function tagOf(text: string, tag: string): string {
  const found = new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(text)?.[1];
  if (found === undefined) throw new UnavailableError(`object storage: the answer has no ${tag}`);
  return found;
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
}

function unescaped(text: string): string {
  return text
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, "&");
}
