// A template of Ollama's, executed as Ollama does: jobs as JSON in, texts as JSON out.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"
	"text/template"
)

type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type Job struct {
	Template string    `json:"template"`
	Messages []Message `json:"messages"`
}

// Messages of one role that follow each other are one; what the system says is given beside them.
func collated(messages []Message) (string, []*Message) {
	var system []string
	var found []*Message
	for i := range messages {
		message := messages[i]
		if message.Role == "system" {
			system = append(system, message.Content)
		}
		if len(found) > 0 && found[len(found)-1].Role == message.Role {
			found[len(found)-1].Content += "\n\n" + message.Content
		} else {
			found = append(found, &message)
		}
	}
	return strings.Join(system, "\n\n"), found
}

func main() {
	var jobs []Job
	if err := json.NewDecoder(os.Stdin).Decode(&jobs); err != nil {
		log.Fatal(err)
	}
	said := []string{}
	for _, job := range jobs {
		parsed, err := template.New("").Option("missingkey=zero").Parse(job.Template)
		if err != nil {
			log.Fatal(err)
		}
		system, messages := collated(job.Messages)
		var out strings.Builder
		given := map[string]any{"System": system, "Messages": messages, "Response": ""}
		if err := parsed.Execute(&out, given); err != nil {
			log.Fatal(err)
		}
		said = append(said, out.String())
	}
	json.NewEncoder(os.Stdout).Encode(said)
}
