-- Which blobs encodings have. As before: only `text` and `bigint`; but the rows of earlier encodings are read with SQLite's functions for JSON.

-- The blob may be in the object store because an encoding of the content has it: the row is inserted before the blob is stored, and deleted
-- when the content is erased. `encoding` has those that were stored completely.
create table encoding_blob (
    digest  text not null,
    content text not null,
    primary key (digest, content)
);
create index encoding_blob_content on encoding_blob (content);

-- One blob: its digest is that of the encoded bytes. Damaged rows are left out.
insert into encoding_blob (digest, content)
select distinct json_extract(encoded, '$.digest'), digest
from (select digest, case when json_valid(content) then content end as encoded from encoding)
where length(json_extract(encoded, '$.digest')) = 64 and json_type(encoded, '$.blobs') is null and length(digest) = 64;

-- Several blobs.
insert into encoding_blob (digest, content)
select distinct blob.value, sound.digest
from (select digest, case when json_valid(content) then content end as encoded from encoding) as sound,
    json_each(sound.encoded, '$.blobs') as blob
where length(blob.value) = 64 and length(sound.digest) = 64
on conflict (digest, content) do nothing;
