// Ask Jeongsi for a message: one LPUSH, then wait for the result's key. go get github.com/redis/go-redis/v9 github.com/google/uuid
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

type Answer struct {
	ID          *string `json:"id"`
	Status      string  `json:"status"`
	DuplicateOf *string `json:"duplicate_of"`
	Errors      []struct{ Field, Reason, Right string }
}

var errNoAnswer = errors.New("no answer within 10 s")

// ask returns the result of one request. After errNoAnswer ask again with the same idempotency_key.
func ask(ctx context.Context, db *redis.Client, task string, request map[string]any) (*Answer, error) {
	id := uuid.NewString()
	body, err := json.Marshal([]any{[]any{request}, map[string]any{}, map[string]any{}})
	if err != nil {
		return nil, err
	}
	envelope, err := json.Marshal(map[string]any{
		"body":             body, // []byte becomes base64
		"content-encoding": "utf-8",
		"content-type":     "application/json",
		"headers":          map[string]any{"lang": "go", "task": task, "id": id, "origin": "orders"},
		"properties": map[string]any{
			"correlation_id": id,
			"delivery_tag":   id,
			"delivery_mode":  2,
			"delivery_info":  map[string]any{"exchange": "", "routing_key": "enqueue"},
			"body_encoding":  "base64",
		},
	})
	if err != nil {
		return nil, err
	}
	if err := db.LPush(ctx, "enqueue", envelope).Err(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		found, err := db.Get(ctx, "celery-task-meta-"+id).Bytes()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var meta struct {
			Status string
			Result json.RawMessage
		}
		if err := json.Unmarshal(found, &meta); err != nil || meta.Status != "SUCCESS" {
			return nil, errNoAnswer
		}
		var answer Answer
		return &answer, json.Unmarshal(meta.Result, &answer)
	}
	return nil, errNoAnswer
}

func main() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		panic(err)
	}
	message := map[string]any{
		"room":            os.Getenv("ROOM"),
		"text":            "주문 4714가 출고되었습니다 📦",
		"idempotency_key": "orders/4714/shipped",
	}
	answer, err := ask(context.Background(), redis.NewClient(options), "jeongsi.message.schedule", message)
	if err != nil {
		panic(err)
	}
	fmt.Println(answer.Status, *answer.ID)
}
