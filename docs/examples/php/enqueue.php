<?php
// Ask Jeongsi for a message with nothing but the phpredis extension: one LPUSH, then wait for the result's key.
declare(strict_types=1);

function ask(Redis $redis, string $task, array $request): ?array
{
    $id = vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex(random_bytes(16)), 4));
    $body = json_encode([[$request], new stdClass(), new stdClass()], JSON_THROW_ON_ERROR);
    $envelope = [
        'body' => base64_encode($body),
        'content-encoding' => 'utf-8',
        'content-type' => 'application/json',
        'headers' => ['lang' => 'php', 'task' => $task, 'id' => $id, 'origin' => 'orders'],
        'properties' => [
            'correlation_id' => $id,
            'delivery_tag' => $id,
            'delivery_mode' => 2,
            'delivery_info' => ['exchange' => '', 'routing_key' => 'enqueue'],
            'body_encoding' => 'base64',
        ],
    ];
    $redis->lPush('enqueue', json_encode($envelope, JSON_THROW_ON_ERROR));
    for ($waited = 0; $waited < 10_000; $waited += 20) {
        $found = $redis->get("celery-task-meta-$id");
        if ($found !== false) {
            $answer = json_decode($found, true, 512, JSON_THROW_ON_ERROR);
            return $answer['status'] === 'SUCCESS' ? $answer['result'] : null;
        }
        usleep(20_000);
    }
    return null; // no answer within 10 s: ask again with the same idempotency_key
}

$redis = new Redis();
$redis->connect('redis.example.com', 6379);
$redis->auth('password');
$message = [
    'room' => 'hq-alerts',
    'text' => '주문 4713이 출고되었습니다 📦',
    'idempotency_key' => 'orders/4713/shipped',
];
$answer = ask($redis, 'jeongsi.message.schedule', $message) ?? ask($redis, 'jeongsi.message.schedule', $message);
echo $answer['status'] ?? 'no answer', ' ', $answer['id'] ?? '', "\n";
