-- A project that has been used for two months, for `benchmarks/pages.py`: statements apart by a blank
-- line, with :images, :labels, :project, :person, :version.

INSERT INTO image (id, created_at, version, project_id, sha256, file_name, media_type, byte_size, width,
    height, bit_depth, state, split, lot, line, priority, margin, novelty, details, arm_draw, reviewed_at,
    burst_id)
SELECT id, now() - n * interval '1 second', 1, :project, lpad(to_hex(n), 64, '0'),
    'photo-' || n || '.png', 'image/png', 100000, 1280, 960, 8, 'ready',
    CASE WHEN n % 10 = 0 THEN 'evaluation' ELSE 'train' END, 'L' || n / 500, 'line ' || n % 4, random(), random() / 2,
    random(), '{}', random(), CASE WHEN n % 10 < 3 THEN now() END,
    first_value(id) OVER (PARTITION BY n / 4 ORDER BY n)
FROM (SELECT n, uuidv7() AS id FROM generate_series(1, :images) AS n) AS numbered;

INSERT INTO image_embedding (image_id, project_id, backbone, embedding)
SELECT id, project_id, 'kizu-small',
    (SELECT array_agg(random()::real - 0.5) FROM generate_series(1, 128) WHERE image.id IS NOT NULL)
FROM image;

INSERT INTO text_embedding (backbone, text, embedding, created_at)
SELECT 'kizu-small', text, (SELECT embedding FROM image_embedding LIMIT 1), now()
FROM unnest(ARRAY['rust', 'a photo of rust', 'an inspection photo showing rust']) AS text;

INSERT INTO annotation (id, created_at, project_id, image_id, author_id, source, is_complete,
    finishes_image, active_ms, arm)
SELECT uuidv7(), now() - random() * interval '60 days', project_id, id, :person, 'human', true, true, 1500 + 6000 * random() * random(),
    CASE WHEN arm_draw < 0.1 THEN 'control' ELSE 'assisted' END
FROM image WHERE reviewed_at IS NOT NULL;

INSERT INTO annotation_label (annotation_id, label_id, value)
SELECT annotation.id, label.id, CASE WHEN random() < 0.2 THEN 'present' ELSE 'absent' END
FROM annotation CROSS JOIN label;

INSERT INTO image_label (image_id, label_id, project_id, value, source, annotation_id, updated_at)
SELECT image_id, label_id, project_id, value, 'human', annotation.id, now()
FROM annotation_label JOIN annotation ON annotation.id = annotation_label.annotation_id;

INSERT INTO prediction (model_version_id, image_id, project_id, probabilities, contexts, uncertainty,
    margin, created_at)
SELECT :version, id, project_id, array_fill(random(), ARRAY[:labels]), ARRAY[1.0], priority, margin, now()
FROM image;

INSERT INTO pseudo_label (id, created_at, project_id, image_id, label_id, model_version_id, value,
    confidence, threshold, state)
SELECT uuidv7(), now(), image.project_id, image.id, label.id, :version,
    CASE WHEN random() < 0.3 THEN 'present' ELSE 'absent' END, 0.5 + random() / 2, 0.5, 'pending'
FROM image JOIN label ON label.position < 3 WHERE reviewed_at IS NULL AND split = 'train';

INSERT INTO acceptance_contract (id, created_at, project_id, label_id, allowed_error)
SELECT uuidv7(), now() - interval '60 days', :project, id, 0.05 FROM label;

UPDATE image SET reviewed_at = now(), cleared_at = now() - random() * interval '60 days'
WHERE reviewed_at IS NULL AND split = 'train' AND arm_draw > 0.7;

UPDATE pseudo_label SET state = 'auto_accepted', decided_at = image.cleared_at, contract_id = acceptance_contract.id
FROM image, acceptance_contract
WHERE image.id = image_id AND cleared_at IS NOT NULL AND acceptance_contract.label_id = pseudo_label.label_id;

INSERT INTO annotation (id, created_at, project_id, image_id, source, is_complete, finishes_image)
SELECT uuidv7(), cleared_at, project_id, id, 'auto', false, false FROM image WHERE cleared_at IS NOT NULL;

INSERT INTO image_label (image_id, label_id, project_id, value, source, annotation_id, updated_at)
SELECT annotation.image_id, label.id, annotation.project_id, 'absent', 'auto', annotation.id, now()
FROM annotation CROSS JOIN label WHERE source = 'auto';

INSERT INTO decision (id, created_at, project_id, image_id, label_id, annotation_id, model_version_id,
    reviewer_id, verdict, value, suggested_value, was_shown, arm, confidence, active_ms)
SELECT uuidv7(), annotation.created_at, annotation.project_id, image_id, label_id, annotation.id, :version,
    :person, 'accept', value, value, true, arm, 0.9, 330
FROM annotation JOIN annotation_label ON annotation_id = annotation.id JOIN label ON label.id = label_id
WHERE label.position < 3;

INSERT INTO project_counter (project_id, name, value)
SELECT :project, name, :images FROM unnest(ARRAY['images', 'ready']) AS name
ON CONFLICT (project_id, name) DO UPDATE SET value = excluded.value;
