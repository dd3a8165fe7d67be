// Ask Jeongsi for a message. `npm ci`, then REDIS_URL and ROOM in the environment.
const celery = require("celery-node");

const client = celery.createClient(process.env.REDIS_URL, process.env.REDIS_URL, "enqueue");

// The result of one request. No answer within 10 s: ask again, the key makes it safe.
async function ask(task, request) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.createTask(task).applyAsync([request]).get(10000, 20);
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

async function main() {
  const message = {
    room: process.env.ROOM,
    text: "주문 4712가 출고되었습니다 📦",
    priority: "high",
    metadata: { order: 4712 },
    idempotency_key: "orders/4712/shipped",
  };
  const answer = await ask("jeongsi.message.schedule", message);
  console.log(answer.status, answer.id);
  for (const error of answer.errors) console.error(`${error.field}: ${error.reason} (${error.right})`);

  const again = await ask("jeongsi.message.schedule", message);
  console.log(again.status, again.id);

  const refused = await ask("jeongsi.message.schedule", { room: process.env.ROOM, priority: 11 });
  console.log(refused.status, refused.errors.map((error) => error.field).join(","));
}

main().finally(() => client.disconnect());
